"""Launch files: rendered from one recipe, for hosts of one's own, three clouds and Kubernetes."""
