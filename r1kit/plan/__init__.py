"""What a recipe would cost, from the recipe alone: shapes, devices, formulas. No torch, nothing is measured or run."""
