"""Times in a spec: cron expressions, declared dates, and the hours at which clocks are changed."""
