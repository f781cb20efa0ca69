"""The shop itself: a checkout, a payment, a refund, step by step, each in a module of its own."""
