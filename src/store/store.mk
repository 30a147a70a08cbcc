# the migrations of sql/, as C strings: berthd carries its schema with it
SQL_FILES     := $(sort $(wildcard sql/identity/*.sql sql/region/*.sql))
GEN_OBJ_store := $(BUILD)/gen/store/migrations.o

$(BUILD)/gen/store/migrations.c: $(SQL_FILES) src/store/migrations.sh
	@mkdir -p $(@D)
	@$(if $(V),,echo "  GEN     $@")
	$(Q)src/store/migrations.sh >$@.new && mv $@.new $@

$(BUILD)/gen/store/migrations.o: $(BUILD)/gen/store/migrations.c
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
