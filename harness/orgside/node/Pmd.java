import java.nio.file.Path;
import net.sourceforge.pmd.PMDConfiguration;
import net.sourceforge.pmd.PmdAnalysis;
import net.sourceforge.pmd.reporting.RuleViolation;

/** Prints what PMD finds in Apex: java -cp JARS Pmd.java RULESET FOLDER ... Each line is a file, a line, a rule, a message. */
public class Pmd {
    public static void main(String[] arguments) throws Exception {
        PMDConfiguration configuration = new PMDConfiguration();
        configuration.addRuleSet(arguments[0]);
        configuration.setIgnoreIncrementalAnalysis(true);
        for (int i = 1; i < arguments.length; i++) {
            configuration.addInputPath(Path.of(arguments[i]));
        }
        try (PmdAnalysis analysis = PmdAnalysis.create(configuration)) {
            var report = analysis.performAnalysisAndCollectReport();
            for (var error : report.getProcessingErrors()) {
                System.out.println(error.getFileId().getOriginalPath() + ": cannot be read: " + error.getMsg());
            }
            for (var error : report.getConfigurationErrors()) {
                System.out.println("ruleset: " + error.issue());
            }
            for (RuleViolation found : report.getViolations()) {
                System.out.println(found.getFileId().getOriginalPath() + ":" + found.getBeginLine() + ": "
                    + found.getRule().getName() + ": " + found.getDescription());
            }
        }
    }
}
