# start.sh - enables and starts the agent's unit; runs as root
# Standard input: one line, "restart" when what it runs with is new, else "start".
set -u
IFS= read -r verb
case $verb in restart | start) ;; *) exit 2 ;; esac
systemctl daemon-reload && systemctl enable --quiet berth-agent && systemctl --no-block "$verb" berth-agent
