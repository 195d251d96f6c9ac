"""Deployments on an automation node: the server's side and the client's side."""
