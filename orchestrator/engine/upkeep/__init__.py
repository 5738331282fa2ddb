"""What beat does beside looking at goals: it removes old ones, tidies up, keeps timelines, and watches workers and Redis."""
