"""Speech by Whisper, on CTranslate2, OpenVINO and torch."""
