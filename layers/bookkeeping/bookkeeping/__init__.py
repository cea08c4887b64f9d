"""Orders of the platform, kept in a company's Xero books."""
