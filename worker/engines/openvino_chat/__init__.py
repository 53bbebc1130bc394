"""Chat on OpenVINO GenAI, whose pipeline batches requests continuously."""
