"""What a study is: its configuration, checked, and the runs that it asks for."""
