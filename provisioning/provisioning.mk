# demo: the whole journey on this machine, from nothing
.PHONY: demo
demo:
	$(Q)provisioning/demo.sh
