# the codecs as a program, for wire_truth.t
tests: $(BUILD)/tests/unit/wire_peer
