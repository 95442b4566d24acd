"""The queue, slots, engines, retries and progress: what runs when, and where."""
