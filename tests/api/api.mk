# a helper of the API tests
tests: $(BUILD)/tests/api/make_session
