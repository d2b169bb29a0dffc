"""Settings: what they are, where each value came from, and where the contracts are.

    loaded = load_settings({"rpc_url": "https://…"}, env=os.environ, cwd=Path.cwd())
    loaded.settings.poll_seconds, loaded.sources["poll_seconds"]     # 2.0, "default"
    deployment = read_deployment(loaded.settings)

A flag beats the environment (CLOISTER_…), that beats ./cloister.toml, that beats cloister/config.toml in the
user's configuration folder, and that beats the default. Importing this package reads nothing, and secrets are
never settings: only the path of a password file is.
"""

from cloister.config.deployment import Deployment, read_deployment
from cloister.config.errors import ConfigError
from cloister.config.loading import Loaded, load_settings
from cloister.config.settings import Settings

__all__ = ["ConfigError", "Deployment", "Loaded", "Settings", "load_settings", "read_deployment"]
