# demo: the whole journey on this machine, from nothing
.PHONY: demo
demo:
	$(Q)provisioning/demo.sh
# what goes to machines is taken into the program as it is (.incbin), which -MMD does not see
$(BUILD)/src/cli/machine.o: provisioning/instance/place.sh provisioning/machine/agent.sh
