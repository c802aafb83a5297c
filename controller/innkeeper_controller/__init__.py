"""The controller: state, lifecycle, planner, scheduling, store, API and command line."""
