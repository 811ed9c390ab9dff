"""Picture files for people and other tools: contact sheets, replays, folders of PNG files."""
