"""The pages that people see, and what draws them."""
