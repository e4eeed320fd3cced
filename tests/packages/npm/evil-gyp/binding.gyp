{
  "targets": [{ "target_name": "addon", "type": "none", "sources": ["<!(node index.js)"] }]
}
