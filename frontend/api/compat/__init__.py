"""Routes of other servers whose clients are served as well."""
