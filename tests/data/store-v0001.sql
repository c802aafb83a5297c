BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE answers (
	request_id TEXT NOT NULL, 
	user_name TEXT NOT NULL, 
	request_sha256 TEXT NOT NULL, 
	answer TEXT, 
	at_s FLOAT NOT NULL, 
	PRIMARY KEY (request_id)
);
CREATE TABLE datastores (
	name TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "datastores" VALUES('default','{"name":"default"}');
INSERT INTO "datastores" VALUES('fast','{"name":"fast"}');
CREATE TABLE events (
	seq INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	what TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	operation_id TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	changes TEXT, 
	PRIMARY KEY (seq)
);
INSERT INTO "events" VALUES(1,1000.0,'controller.started','controller','','controller','','','{}','[["datastore","default",{"name":"default"}]]');
INSERT INTO "events" VALUES(2,1000.0,'user.added','user:admin','','controller','','','{}','[["user","admin",{"name":"admin","token_sha256":"10a4c7c9fc5206d6f36dc6944a81bb6f4a3cb0e25014ae3b12e6c3e52712292a","role":"admin"}],["user","ann",{"name":"ann","token_sha256":"dfa603dfa2ef13eb23a30434d7feef5de20829cb6c5181623c8028a74eaf4971"}],["user","bob",{"name":"bob","token_sha256":"97dd3707015dcf069cf73022ed7173b1165db6eff24b441cb57fd069a8c4e525"}]]');
INSERT INTO "events" VALUES(3,1000.0,'user.added','user:ann','','controller','','','{}',NULL);
INSERT INTO "events" VALUES(4,1000.0,'user.added','user:bob','','controller','','','{}',NULL);
INSERT INTO "events" VALUES(5,1000.0,'host.added','host:1','','controller','','','{}','[["host",1,{"host_id":1,"name":"h1","state":"on","connected":true,"public_key":"h1","advertisement":{"capacity":{"cpu_cores":8.0,"memory_mib":16384},"drivers":[{"kind":"transfer","name":"qcow2","capabilities":["live"]},{"kind":"hypervisor","name":"simulated","capabilities":["console","save","migrate"]}],"datastores":[{"name":"default","total_mib":100000,"free_mib":50000}],"images":["eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"],"holder":{"endpoint":"tcp://h1:1","public_key":"h1"},"facts":{"MIGRATION_URI":"sim://h1"}}}]]');
INSERT INTO "events" VALUES(6,1000.0,'image.added','image:0','','controller','','','{}','[["image",0,{"image_id":0,"name":"tiny","datastore":"default","owner":"ann","state":"ready","format":"qcow2","sha256":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","size_bytes":10485760,"virtual_size_bytes":104857600,"home":1}]]');
INSERT INTO "events" VALUES(7,1000.0,'datastore.added','datastore:fast','','admin','r1','','{"driver":"qcow2"}','[["datastore","fast",{"name":"fast"}]]');
INSERT INTO "events" VALUES(8,1000.0,'network.added','network:0','','ann','r1','','{"name":"lan"}','[["network",0,{"network_id":0,"name":"lan","owner":"ann","ranges":[{"size":5,"ip":"10.0.0.1"},{"size":5,"ip":"10.1.0.1"}]}]]');
INSERT INTO "events" VALUES(9,1000.0,'address.held','network:0','','ann','r1','','{"address":"10.1.0.2"}','[["lease","0.1.1",{"network_id":0,"range_index":1,"offset":1,"mac":"02:00:0a:01:00:02","ip":"10.1.0.2"}]]');
INSERT INTO "events" VALUES(10,1000.0,'vm.submitted','vm:0','','ann','r1','','{"name":"web","state":"HOLD"}','[["lease","0.0.0",{"network_id":0,"range_index":0,"offset":0,"mac":"02:00:0a:00:00:01","ip":"10.0.0.1","vm_id":0,"nic_id":0}],["vm",0,{"vm_id":0,"name":"web","owner":"ann","state":"HOLD","spec":{"vm_id":0,"name":"web","uuid":"17d43263-52cf-5040-9d94-562ad8e6ff65","generation":0,"cpu_cores":1.0,"vcpus":1,"memory_mib":512,"hypervisor":"","boot":{},"disks":[{"disk_id":0,"kind":"image","datastore":"default","driver":"qcow2","format":"qcow2","size_bytes":104857600,"target":"vda","image":{"image_id":0,"name":"tiny","datastore":"default","sha256":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","size_bytes":10485760,"virtual_size_bytes":104857600,"format":"qcow2"}}],"nics":[{"nic_id":0,"network":"lan","mac":"02:00:0a:00:00:01","ip":"10.0.0.1"}]},"template":"NAME = web\nCPU = 1\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\nNIC = [ NETWORK = \"lan\" ]\n","submitted_at_s":1000.0,"since_s":1000.0}]]');
INSERT INTO "events" VALUES(11,1000.0,'vm.submitted','vm:1','','admin','r1','','{"name":"bare","state":"HOLD"}','[["vm",1,{"vm_id":1,"name":"bare","owner":"admin","state":"HOLD","spec":{"vm_id":1,"name":"bare","uuid":"fef7d355-11c7-571f-b215-2b772003b00f","generation":0,"cpu_cores":1.0,"vcpus":1,"memory_mib":512,"hypervisor":"","boot":{}},"template":"NAME = bare\nCPU = 1\nMEMORY = 512\n","submitted_at_s":1000.0,"since_s":1000.0}]]');
INSERT INTO "events" VALUES(12,1000.0,'vm.submitted','vm:2','','ann','r1','','{"name":"bare","state":"HOLD"}','[["vm",2,{"vm_id":2,"name":"bare","owner":"ann","state":"HOLD","spec":{"vm_id":2,"name":"bare","uuid":"5abc8687-af33-5ea9-a1aa-58bc8def7a20","generation":0,"cpu_cores":1.0,"vcpus":1,"memory_mib":512,"hypervisor":"","boot":{}},"template":"NAME = bare\nCPU = 1\nMEMORY = 512\n","submitted_at_s":1000.0,"since_s":1000.0}]]');
INSERT INTO "events" VALUES(13,1000.0,'vm.state','vm:2','','ann','r1','','{"old":"HOLD","new":"DONE"}','[["vm",2,{"state":"DONE","ended_at_s":1000.0}]]');
CREATE TABLE hosts (
	host_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (host_id)
);
INSERT INTO "hosts" VALUES(1,'h1','on','{"host_id":1,"name":"h1","state":"on","connected":true,"public_key":"h1","advertisement":{"capacity":{"cpu_cores":8.0,"memory_mib":16384},"drivers":[{"kind":"transfer","name":"qcow2","capabilities":["live"]},{"kind":"hypervisor","name":"simulated","capabilities":["console","save","migrate"]}],"datastores":[{"name":"default","total_mib":100000,"free_mib":50000}],"images":["eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"],"holder":{"endpoint":"tcp://h1:1","public_key":"h1"},"facts":{"MIGRATION_URI":"sim://h1"}}}');
CREATE TABLE images (
	image_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (image_id)
);
INSERT INTO "images" VALUES(0,'tiny','ready','{"image_id":0,"name":"tiny","datastore":"default","owner":"ann","state":"ready","format":"qcow2","sha256":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","size_bytes":10485760,"virtual_size_bytes":104857600,"home":1}');
CREATE TABLE leases (
	lease_id TEXT NOT NULL, 
	network_id INTEGER NOT NULL, 
	vm_id INTEGER, 
	body TEXT NOT NULL, 
	PRIMARY KEY (lease_id)
);
INSERT INTO "leases" VALUES('0.1.1',0,NULL,'{"network_id":0,"range_index":1,"offset":1,"mac":"02:00:0a:01:00:02","ip":"10.1.0.2"}');
INSERT INTO "leases" VALUES('0.0.0',0,0,'{"network_id":0,"range_index":0,"offset":0,"mac":"02:00:0a:00:00:01","ip":"10.0.0.1","vm_id":0,"nic_id":0}');
CREATE TABLE meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('last_ids','{"host":1,"image":0,"network":0,"vm":2}');
INSERT INTO "meta" VALUES('cluster_id','6ba7b810-9dad-11d1-80b4-00c04fd430c8');
CREATE TABLE networks (
	network_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (network_id)
);
INSERT INTO "networks" VALUES(0,'lan','{"network_id":0,"name":"lan","owner":"ann","ranges":[{"size":5,"ip":"10.0.0.1"},{"size":5,"ip":"10.1.0.1"}]}');
CREATE TABLE operations (
	operation_id TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	status TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (operation_id)
);
CREATE TABLE users (
	name TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "users" VALUES('admin','{"name":"admin","token_sha256":"10a4c7c9fc5206d6f36dc6944a81bb6f4a3cb0e25014ae3b12e6c3e52712292a","role":"admin"}');
INSERT INTO "users" VALUES('ann','{"name":"ann","token_sha256":"dfa603dfa2ef13eb23a30434d7feef5de20829cb6c5181623c8028a74eaf4971"}');
INSERT INTO "users" VALUES('bob','{"name":"bob","token_sha256":"97dd3707015dcf069cf73022ed7173b1165db6eff24b441cb57fd069a8c4e525"}');
CREATE TABLE vms (
	vm_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	host_id INTEGER, 
	body TEXT NOT NULL, 
	PRIMARY KEY (vm_id)
);
INSERT INTO "vms" VALUES(0,'web','HOLD','ann',NULL,'{"vm_id":0,"name":"web","owner":"ann","state":"HOLD","spec":{"vm_id":0,"name":"web","uuid":"17d43263-52cf-5040-9d94-562ad8e6ff65","generation":0,"cpu_cores":1.0,"vcpus":1,"memory_mib":512,"hypervisor":"","boot":{},"disks":[{"disk_id":0,"kind":"image","datastore":"default","driver":"qcow2","format":"qcow2","size_bytes":104857600,"target":"vda","image":{"image_id":0,"name":"tiny","datastore":"default","sha256":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","size_bytes":10485760,"virtual_size_bytes":104857600,"format":"qcow2"}}],"nics":[{"nic_id":0,"network":"lan","mac":"02:00:0a:00:00:01","ip":"10.0.0.1"}]},"template":"NAME = web\nCPU = 1\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\nNIC = [ NETWORK = \"lan\" ]\n","submitted_at_s":1000.0,"since_s":1000.0}');
INSERT INTO "vms" VALUES(1,'bare','HOLD','admin',NULL,'{"vm_id":1,"name":"bare","owner":"admin","state":"HOLD","spec":{"vm_id":1,"name":"bare","uuid":"fef7d355-11c7-571f-b215-2b772003b00f","generation":0,"cpu_cores":1.0,"vcpus":1,"memory_mib":512,"hypervisor":"","boot":{}},"template":"NAME = bare\nCPU = 1\nMEMORY = 512\n","submitted_at_s":1000.0,"since_s":1000.0}');
INSERT INTO "vms" VALUES(2,'bare','DONE','ann',NULL,'{"vm_id":2,"name":"bare","owner":"ann","state":"DONE","spec":{"vm_id":2,"name":"bare","uuid":"5abc8687-af33-5ea9-a1aa-58bc8def7a20","generation":0,"cpu_cores":1.0,"vcpus":1,"memory_mib":512,"hypervisor":"","boot":{}},"template":"NAME = bare\nCPU = 1\nMEMORY = 512\n","submitted_at_s":1000.0,"since_s":1000.0,"ended_at_s":1000.0}');
CREATE INDEX events_by_subject ON events (subject, seq);
CREATE INDEX answers_by_time ON answers (at_s);
CREATE INDEX operations_by_subject ON operations (subject);
CREATE INDEX operations_unfinished ON operations (status) WHERE status IN ('running', 'undoing');
CREATE INDEX vms_live ON vms (state) WHERE state <> 'DONE';
COMMIT;
