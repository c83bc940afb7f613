# systemd: units, the user, the first settings.  Paths come from configure.
sandboxed_units = sluiced.service sluiced-worker@.service sluiced-migrate.service
made_units = $(sandboxed_units:%=systemd/%)
EXTRA_DIST += systemd/sandbox.in systemd/credentials.in $(sandboxed_units:%=systemd/%.in) \
	systemd/sluiced.socket systemd/sluiced.target systemd/sysusers.conf systemd/tmpfiles.conf.in
dist_pkgdata_DATA = systemd/sluice.conf.example
CLEANFILES += $(made_units) systemd/tmpfiles.conf

unit_paths = sed -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' -e 's|@pkgdatadir[@]|$(pkgdatadir)|g'
SUFFIXES = .service.in .service
.service.in.service:
	$(AM_V_GEN)$(MKDIR_P) systemd && sed -e '/^@sandbox@$$/{r $(srcdir)/systemd/sandbox.in' -e 'd;}' \
	-e '/^@credentials@$$/{r $(srcdir)/systemd/credentials.in' -e 'd;}' '$<' | $(unit_paths) >'$@.tmp' && mv '$@.tmp' '$@'
$(made_units): $(srcdir)/systemd/sandbox.in $(srcdir)/systemd/credentials.in Makefile
systemd/tmpfiles.conf: $(srcdir)/systemd/tmpfiles.conf.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(unit_paths) $(srcdir)/systemd/tmpfiles.conf.in >$@.tmp && mv $@.tmp $@

if WITH_UNITS
unitdir = $(systemdsystemunitdir)
dist_unit_DATA = systemd/sluiced.socket systemd/sluiced.target
nodist_unit_DATA = $(made_units)
all-local: systemd/tmpfiles.conf

install-data-local: systemd/tmpfiles.conf
	$(MKDIR_P) '$(DESTDIR)$(prefix)/lib/sysusers.d' '$(DESTDIR)$(prefix)/lib/tmpfiles.d'
	$(INSTALL_DATA) $(srcdir)/systemd/sysusers.conf '$(DESTDIR)$(prefix)/lib/sysusers.d/sluice.conf'
	$(INSTALL_DATA) systemd/tmpfiles.conf '$(DESTDIR)$(prefix)/lib/tmpfiles.d/sluice.conf'

uninstall-local:
	rm -f '$(DESTDIR)$(prefix)/lib/sysusers.d/sluice.conf' '$(DESTDIR)$(prefix)/lib/tmpfiles.d/sluice.conf'
endif
