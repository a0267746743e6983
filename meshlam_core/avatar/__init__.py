"""The avatar and its file (.meshlam): record, rules, reading and writing. The format: AVATAR_FORMAT.md."""
