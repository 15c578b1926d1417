"""What the teacher says, and the proof that it speaks of the same symbols."""
