#!/bin/sh
# Gives Kibana and the bridge logins of their own. It may be run again; it then sets what .env says by now.
set -eu

elastic() {
    path=$1
    shift
    curl --silent --show-error --fail-with-body --user "elastic:${ELASTIC_PASSWORD}" \
        --header 'Content-Type: application/json' "${ELASTICSEARCH:-http://elasticsearch:9200}${path}" "$@"
}

elastic /_security/user/kibana_system/_password --request POST --data "{\"password\": \"${KIBANA_PASSWORD}\"}"

# The bridge's own login is for its own indices; searches are made with what their callers send.
elastic /_security/role/es_reasonrank --request PUT --data '{
  "cluster": ["monitor"],
  "indices": [{"names": ["es-reasonrank-*"], "privileges": ["create_index", "read", "write", "view_index_metadata"]}]
}'
elastic /_security/user/es_reasonrank --request PUT \
    --data "{\"password\": \"${BRIDGE_PASSWORD}\", \"roles\": [\"es_reasonrank\"]}"
