"""The training loop: TBPTT over carried state, schedules, the best network by validation, exact resume."""
