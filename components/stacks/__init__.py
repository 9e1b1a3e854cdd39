"""The programs, composed from the rooms: one module for each kind of job."""
