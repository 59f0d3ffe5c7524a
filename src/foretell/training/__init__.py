"""The training loop: TBPTT over carried state, schedules, early stopping, exact resume."""
