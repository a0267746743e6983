"""Drawing avatars: poses, views, contact sheets."""
