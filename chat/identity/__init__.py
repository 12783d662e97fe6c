"""Who a user is: names, passwords, tokens, and which tokens are still valid."""
