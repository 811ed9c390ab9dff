"""Pictures for people and for tools that read nothing else: sheets, replays, folders of PNG files."""
