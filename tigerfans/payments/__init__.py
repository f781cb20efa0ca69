"""Payment providers: how the shop asks for money and how it hears of it."""
