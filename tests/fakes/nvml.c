/* A libnvidia-ml.so.1 for machines without a GPU, so that the real pynvml runs on it.
 *
 * The world is the text file named by FAKE_NVML_WORLD, read again on every call, so that a test changes the weather while the
 * app runs. Lines: `count N`, `driver TEXT`, `I.name TEXT`, `I.uuid TEXT`, `I.FIGURE NUMBER` for GPU I, `I.compute PID MB` and
 * `I.graphics PID MB` (MB -1: the driver does not say, as on Windows), `I.use PID PERCENT AGE_MS` (a sample of a process's
 * load), `I.xid NUMBER` (one error each, in order; those there before somebody listens are not heard), `I.may_set 1` (whoever
 * asks may set the power limit), `I.lost 1`, and `fail FUNCTION CODE`.
 * Every opening and closing is written to the file FAKE_NVML_WORLD.held, a power limit that was set to FAKE_NVML_WORLD.limitI.
 * Compiled by fakes/nvml.py; the numbers of figures and errors are those of nvml.h. With -DOLD_DRIVER the newer functions are
 * missing, as in an old driver; with -DBARE all but the oldest are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { OK = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, LOST = 15 };
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned int gpu, memory; } utilisation_t;
typedef struct { unsigned int pid; unsigned long long stamp; unsigned int sm, memory, encoder, decoder; } sample_t;
typedef struct { void *gpu; unsigned long long type, data; unsigned int gi, ci; } event_t;
typedef void *gpu_t;

static const unsigned long long MB = 1ULL << 20;

/* The `skip`-th line that starts with the words in `key`: its rest goes to `rest` (256 bytes). */
static int line(const char *key, char *rest, int skip) {
    char text[512], *world = getenv("FAKE_NVML_WORLD");
    size_t length = strlen(key);
    FILE *file = world ? fopen(world, "r") : NULL;
    int found = 0;
    while (file && !found && fgets(text, sizeof text, file)) {
        if (strncmp(text, key, length) || text[length] != ' ' || skip-- > 0) continue;
        text[strcspn(text, "\n")] = 0;
        snprintf(rest, 256, "%s", text + length + 1);
        found = 1;
    }
    if (file) fclose(file);
    return found;
}

static int of_gpu(gpu_t gpu, const char *what, char *rest, int skip) {
    char key[64];
    snprintf(key, sizeof key, "%d.%s", (int)(size_t)gpu - 1, what);
    return line(key, rest, skip);
}

static int failing(const char *function, gpu_t gpu) {
    char key[128], rest[256];
    snprintf(key, sizeof key, "fail %s", function);
    if (line(key, rest, 0)) return atoi(rest);
    return gpu && of_gpu(gpu, "lost", rest, 0) ? LOST : OK;
}

static int number(const char *function, gpu_t gpu, const char *what, unsigned long long *value) {
    char rest[256];
    int failure = failing(function, gpu);
    if (failure) return failure;
    if (!of_gpu(gpu, what, rest, 0)) return NOT_SUPPORTED;
    *value = strtoull(rest, NULL, 10);
    return OK;
}

static int small(const char *function, gpu_t gpu, const char *what, unsigned int *value) {
    unsigned long long wide = 0;
    int failure = number(function, gpu, what, &wide);
    *value = (unsigned int)wide;
    return failure;
}

static int text(const char *function, gpu_t gpu, const char *what, char *value, unsigned int length) {
    char rest[256];
    int failure = failing(function, gpu);
    if (failure) return failure;
    if (!(gpu ? of_gpu(gpu, what, rest, 0) : line(what, rest, 0))) return NOT_SUPPORTED;
    snprintf(value, length, "%s", rest);
    return OK;
}

static int held(const char *what) {
    char path[512];
    snprintf(path, sizeof path, "%s.held", getenv("FAKE_NVML_WORLD"));
    FILE *file = fopen(path, "a");
    if (file) { fprintf(file, "%s\n", what); fclose(file); }
    return OK;
}

int nvmlInitWithFlags(unsigned int flags) { (void)flags; int failure = failing(__func__, NULL); return failure ? failure : held("open"); }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return held("close"); }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "an error of the fake"; }
int nvmlSystemGetDriverVersion(char *value, unsigned int length) { return text(__func__, NULL, "driver", value, length); }

int nvmlDeviceGetCount_v2(unsigned int *count) {
    char rest[256];
    *count = line("count", rest, 0) ? (unsigned int)atoi(rest) : 0;
    return failing(__func__, NULL);
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, gpu_t *gpu) { *gpu = (gpu_t)(size_t)(index + 1); return failing(__func__, *gpu); }
int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t *gpu) {
    char rest[256];
    unsigned int count, index;
    nvmlDeviceGetCount_v2(&count);
    for (index = 0; index < count; index++) {
        *gpu = (gpu_t)(size_t)(index + 1);
        if (of_gpu(*gpu, "uuid", rest, 0) && !strcmp(rest, uuid)) return failing(__func__, *gpu);
    }
    return NOT_FOUND;
}
int nvmlDeviceGetUUID(gpu_t gpu, char *value, unsigned int length) { return text(__func__, gpu, "uuid", value, length); }
int nvmlDeviceGetName(gpu_t gpu, char *value, unsigned int length) { return text(__func__, gpu, "name", value, length); }
int nvmlDeviceGetPowerUsage(gpu_t gpu, unsigned int *value) { return small(__func__, gpu, "milliwatts", value); }
int nvmlDeviceGetPowerManagementDefaultLimit(gpu_t gpu, unsigned int *value) { return small(__func__, gpu, "default_limit", value); }
int nvmlDeviceGetEnforcedPowerLimit(gpu_t gpu, unsigned int *value) { return small(__func__, gpu, "enforced_limit", value); }
int nvmlDeviceGetTemperature(gpu_t gpu, int sensor, unsigned int *value) { (void)sensor; return small(__func__, gpu, "temperature", value); }
int nvmlDeviceGetUtilizationRates(gpu_t gpu, utilisation_t *value) { value->memory = 0; return small(__func__, gpu, "utilisation", &value->gpu); }
int nvmlDeviceGetMemoryInfo(gpu_t gpu, memory_t *value) {
    unsigned long long total = 0, used = 0, reserved = 0;
    int failure = number(__func__, gpu, "total_mb", &total);
    number(__func__, gpu, "used_mb", &used);
    number(__func__, gpu, "reserved_mb", &reserved);
    value->total = total * MB; value->used = (used + reserved) * MB; value->free = value->total - value->used;
    return failure;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(gpu_t gpu, unsigned long long *value) { return number(__func__, gpu, "reasons", value); }
#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(gpu_t gpu, unsigned long long *value) { return number(__func__, gpu, "reasons", value); }
int nvmlDeviceGetFanSpeed(gpu_t gpu, unsigned int *value) { return small(__func__, gpu, "fan", value); }
int nvmlDeviceGetMemoryInfo_v2(gpu_t gpu, memory_v2_t *value) {
    memory_t whole;
    unsigned long long used = 0;
    int failure = nvmlDeviceGetMemoryInfo(gpu, &whole);
    number(__func__, gpu, "used_mb", &used);
    value->total = whole.total; value->free = whole.free; value->used = used * MB; value->reserved = whole.used - value->used;
    return failure ? failure : failing(__func__, gpu);
}
#endif

static int processes(const char *function, gpu_t gpu, const char *what, unsigned int *count, process_t *list) {
    char rest[256];
    unsigned int there = 0;
    int failure = failing(function, gpu);
    if (failure) return failure;
    while (of_gpu(gpu, what, rest, (int)there)) {
        if (there < *count && list) {
            long long megabytes = -1;
            sscanf(rest, "%u %lld", &list[there].pid, &megabytes);
            list[there].used = megabytes < 0 ? ~0ULL : (unsigned long long)megabytes * MB;
            list[there].gi = list[there].ci = ~0U;
        }
        there++;
    }
    failure = there > *count ? INSUFFICIENT_SIZE : OK;
    *count = there;
    return failure;
}
int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t gpu, unsigned int *count, process_t *list) { return processes(__func__, gpu, "compute", count, list); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(gpu_t gpu, unsigned int *count, process_t *list) { return processes(__func__, gpu, "graphics", count, list); }

#ifndef BARE
int nvmlDeviceGetTotalEnergyConsumption(gpu_t gpu, unsigned long long *value) { return number(__func__, gpu, "energy", value); }
int nvmlDeviceGetTemperatureThreshold(gpu_t gpu, int which, unsigned int *value) {
    return small(__func__, gpu, which == 0 ? "shutdown_at" : which == 1 ? "slowdown_at" : "unknown", value);
}

/* The samples of processes' load younger than `since` (microseconds since 1970). None: not found, as the real driver says. */
int nvmlDeviceGetProcessUtilization(gpu_t gpu, sample_t *list, unsigned int *count, unsigned long long since) {
    struct timeval clock;
    char rest[256];
    unsigned int there = 0, line_number = 0;
    int failure = failing(__func__, gpu);
    if (failure) return failure;
    gettimeofday(&clock, NULL);
    unsigned long long now = clock.tv_sec * 1000000ULL + clock.tv_usec;
    while (of_gpu(gpu, "use", rest, (int)line_number++)) {
        unsigned int pid = 0, percent = 0, age = 0;
        sscanf(rest, "%u %u %u", &pid, &percent, &age);
        unsigned long long stamp = now - age * 1000ULL;
        if (stamp < since) continue;
        if (list && there < *count) list[there] = (sample_t){pid, stamp, percent, 0, 0, 0};
        there++;
    }
    failure = there > *count ? INSUFFICIENT_SIZE : there ? OK : NOT_FOUND;
    *count = there;
    return failure;
}

/* --- the power limit, which outlives whoever sets it --- */

static FILE *limit_file(gpu_t gpu, const char *how) {
    char path[512];
    snprintf(path, sizeof path, "%s.limit%d", getenv("FAKE_NVML_WORLD"), (int)(size_t)gpu - 1);
    return fopen(path, how);
}
int nvmlDeviceGetPowerManagementLimit(gpu_t gpu, unsigned int *value) {
    int failure = failing(__func__, gpu);
    FILE *file = failure ? NULL : limit_file(gpu, "r");
    if (failure) return failure;
    if (!file) return small(__func__, gpu, "default_limit", value);
    if (fscanf(file, "%u", value) != 1) failure = NOT_SUPPORTED;
    fclose(file);
    return failure;
}
int nvmlDeviceGetPowerManagementLimitConstraints(gpu_t gpu, unsigned int *least, unsigned int *most) {
    int failure = small(__func__, gpu, "least_limit", least);
    return failure ? failure : small(__func__, gpu, "most_limit", most);
}
int nvmlDeviceSetPowerManagementLimit(gpu_t gpu, unsigned int value) {
    unsigned int least = 0, most = ~0U;
    char rest[256];
    int failure = failing(__func__, gpu);
    if (failure) return failure;
    if (!of_gpu(gpu, "may_set", rest, 0)) return NO_PERMISSION;
    small(__func__, gpu, "least_limit", &least);
    small(__func__, gpu, "most_limit", &most);
    if (value < least || value > most) return INVALID_ARGUMENT;
    FILE *file = limit_file(gpu, "w");
    if (!file) return NO_PERMISSION;
    fprintf(file, "%u\n", value);
    fclose(file);
    return OK;
}

/* --- errors (XID), for one GPU a set --- */

typedef struct { gpu_t gpu; int heard; } listener_t;

int nvmlEventSetCreate(listener_t **set) {
    int failure = failing(__func__, NULL);
    if (!failure) { *set = calloc(1, sizeof(listener_t)); held("listen"); }
    return failure;
}
int nvmlEventSetFree(listener_t *set) { free(set); return held("deaf"); }
int nvmlDeviceRegisterEvents(gpu_t gpu, unsigned long long types, listener_t *set) {
    char rest[256];
    int failure = failing(__func__, gpu);
    if (failure) return failure;
    if (types != 8) return INVALID_ARGUMENT;
    set->gpu = gpu;
    while (of_gpu(gpu, "xid", rest, set->heard)) set->heard++;
    return OK;
}
int nvmlEventSetWait_v2(listener_t *set, event_t *event, unsigned int milliseconds) {
    char rest[256];
    int failure = failing(__func__, set->gpu);
    if (failure) return failure;
    if (milliseconds) return INVALID_ARGUMENT; /* nobody here may wait */
    if (!of_gpu(set->gpu, "xid", rest, set->heard)) return TIMEOUT;
    set->heard++;
    *event = (event_t){set->gpu, 8, strtoull(rest, NULL, 10), ~0U, ~0U};
    return OK;
}
#endif
