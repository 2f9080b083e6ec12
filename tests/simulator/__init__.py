"""Tests of the simulator itself: it keeps DingTalk's rules, spelled as DingTalk's documents do."""
