# shapes of the services, made by modelc from the published models and our overlays.
# To serve one more service: a line here, a file catalog/NAME.def, a line in catalog.c.
MODELC   := $(BUILD)/modelc
SERVICES := ec2=$(MODELS)/ec2/2016-11-15/service-2.json \
            ecs=$(MODELS)/ecs/2014-11-13/service-2.json \
            iam=$(MODELS)/iam/2010-05-08/service-2.json \
            sts=$(MODELS)/sts/2011-06-15/service-2.json \
            ssm=$(MODELS)/ssm/2014-11-06/service-2.json \
            secretsmanager=$(MODELS)/secretsmanager/2017-10-17/service-2.json \
            cloudwatch=$(MODELS)/cloudwatch/2010-08-01/service-2.json \
            berth=

GEN_FILES       := $(addprefix $(BUILD)/gen/,shape/tables.c catalog/operations.c catalog/operations.h)
GEN_OBJ_shape   := $(BUILD)/gen/shape/tables.o
GEN_OBJ_catalog := $(BUILD)/gen/catalog/operations.o

$(MODELC): $(call obj,src/modelc/model.c src/modelc/tables.c src/modelc/modelc.c)
	@$(if $(V),,echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# The header keeps its time when its text is the same, so that a changed overlay rebuilds the tables alone.
$(BUILD)/gen/.stamp: $(MODELC) src/modelc/modelc.mk $(wildcard src/catalog/overlay/*.json) \
                     $(foreach s,$(SERVICES),$(word 2,$(subst =, ,$(s))))
	@$(if $(V),,echo "  MODELC  $(BUILD)/gen")
	$(Q)rm -rf $(BUILD)/gen/.new && $(MODELC) $(BUILD)/gen/.new src/catalog/overlay $(SERVICES)
	$(Q)for f in $(GEN_FILES:$(BUILD)/gen/%=%); do \
		mkdir -p $(BUILD)/gen/$${f%/*}; \
		cmp -s $(BUILD)/gen/.new/$$f $(BUILD)/gen/$$f || mv $(BUILD)/gen/.new/$$f $(BUILD)/gen/$$f; \
	done; rm -rf $(BUILD)/gen/.new; touch $@
$(GEN_FILES): $(BUILD)/gen/.stamp ;

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@$(if $(V),,echo "  CC      $<")
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# Anything may include the generated header: it must be there before the first compilation.
$(call obj,$(foreach r,$(ROOMS),$(call src,$(r))) $(wildcard tests/*/*.c)): | $(BUILD)/gen/catalog/operations.h

# docs/coverage.md from the action rows
$(BUILD)/coverage: $(call obj,src/modelc/coverage.c) $(BUILD)/libcatalog.a $(BUILD)/libshape.a $(BUILD)/libbase.a
	$(call link,$^)
$(call obj,src/modelc/coverage.c): | $(BUILD)/gen/catalog/operations.h
.PHONY: coverage
coverage: $(BUILD)/coverage
	$(Q)$< > docs/coverage.md.new && mv docs/coverage.md.new docs/coverage.md
