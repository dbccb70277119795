"""The practice network: a whole market on this machine, with test money. Started by `sublet practice`, or with the app."""
