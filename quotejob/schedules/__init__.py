"""Schedules: cron expressions, fire times, guaranteed starts."""
