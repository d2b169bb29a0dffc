"""Settings: what they are, and where each value came from.

    loaded = load_settings({"rpc_url": "https://…"}, env=os.environ, cwd=Path.cwd())
    loaded.settings.poll_seconds, loaded.sources["poll_seconds"]     # 2.0, "default"

A flag beats the environment (CLOISTER_…), that beats ./cloister.toml, that beats cloister/config.toml in the
user's configuration folder, and that beats the default. Importing this package reads nothing, and secrets are
never settings: only the path of a password file is.
"""

from cloister.config.errors import ConfigError
from cloister.config.loading import Loaded, load_settings
from cloister.config.settings import Settings

__all__ = ["ConfigError", "Loaded", "Settings", "load_settings"]
