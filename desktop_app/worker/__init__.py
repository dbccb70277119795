"""The only room where torch may be imported: one task, one device, one sandbox. Knows neither money nor network."""
