int addon;
