"""Gallery: recipes trained, their claims compared with what was published, and a page of it."""
