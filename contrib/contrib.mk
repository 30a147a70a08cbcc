# install: programs, what they need at run time, completion, units; DESTDIR= and PREFIX= as usual
SHARE := $(DESTDIR)$(PREFIX)/share/berth
.PHONY: install uninstall
install: programs container-images
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(SHARE) \
		$(DESTDIR)$(PREFIX)/share/doc/berth \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)/lib/systemd/system
	$(Q)install -m 755 $(BUILD)/berth $(DESTDIR)$(PREFIX)/bin/berth
	$(Q)install -m 755 $(BUILD)/berthd $(DESTDIR)$(PREFIX)/sbin/berthd
	$(Q)install -m 644 $(AGENT_ARCHIVE) $(SHARE)/berth-agent.tar
	$(Q)rm -rf $(SHARE)/images $(SHARE)/provisioning $(SHARE)/examples
	$(Q)cp -R images provisioning contrib/examples $(SHARE)/
	$(Q)install -m 644 README.md $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/berth/
	$(Q)install -m 644 contrib/completion/berth $(DESTDIR)$(PREFIX)/share/bash-completion/completions/berth
	$(Q)install -m 644 contrib/systemd/*.service $(DESTDIR)/lib/systemd/system/
uninstall:
	$(Q)rm -rf $(SHARE) $(DESTDIR)$(PREFIX)/share/doc/berth
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/berth $(DESTDIR)$(PREFIX)/sbin/berthd \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/berth \
		$(addprefix $(DESTDIR)/lib/systemd/system/,$(notdir $(wildcard contrib/systemd/*.service)))
