"""The addresses that a spec names: of mail servers, of webhooks, of services, of the server itself."""
