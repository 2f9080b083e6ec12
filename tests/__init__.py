"""What users can rely on, one behaviour for each test, against the simulator over real HTTP."""
