# shapes of the services, made by modelc from the published models
MODELC := $(BUILD)/modelc
