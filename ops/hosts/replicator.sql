-- The user of the standbys and of pg_rewind, on the primary, once: no superuser, as its password is on
-- every host. `\password replicator` sets that.
-- No standby is there yet that could confirm it.
SET synchronous_commit = local;
CREATE ROLE replicator LOGIN REPLICATION;
GRANT pg_read_all_stats TO replicator;
-- What PostgreSQL's page of pg_rewind lists.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO replicator;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
-- A rewind needs to see the promotion in the control file: rejoin.sh asks for a checkpoint.
GRANT pg_checkpoint TO replicator;
