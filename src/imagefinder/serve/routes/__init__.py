"""The routes of `/v1` and those that machines watch a service by; one router a noun."""
