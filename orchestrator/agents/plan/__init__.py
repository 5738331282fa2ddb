"""Plans by a model: proposed, checked, approved, carried out, reviewed, changed; and who does what."""
