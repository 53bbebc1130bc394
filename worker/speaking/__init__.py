"""From a text to sound: what every engine that speaks shares."""
